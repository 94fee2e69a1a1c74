#include "base/failure.hpp"

#include <cerrno>

namespace socks64::gateway {

std::string_view describe(Failure failure) noexcept {
  switch (failure) {
    case Failure::none:
      return "none";
    case Failure::name_invalid:
      return "name-invalid";
    case Failure::name_not_found:
      return "name-not-found";
    case Failure::name_timeout:
      return "name-timeout";
    case Failure::name_failed:
      return "name-failed";
    case Failure::refused:
      return "refused";
    case Failure::network_unreachable:
      return "network-unreachable";
    case Failure::host_unreachable:
      return "host-unreachable";
    case Failure::timed_out:
      return "timed-out";
    case Failure::bad_port:
      return "bad-port";
    case Failure::denied:
      return "denied";
    case Failure::no_resources:
      return "no-resources";
    case Failure::shutting_down:
      return "shutting-down";
    case Failure::internal:
      break;
  }
  return "internal";
}

Failure failure_from_errno(int error) noexcept {
  switch (error) {
    case 0:
      return Failure::none;
    case ECONNREFUSED:
    case ECONNRESET:  // the destination answered our SYN and took it back at once
      return Failure::refused;
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:  // no source address of that family; dial.cpp sorts out the other meaning
    case ENODEV:         // the interface that the configuration names is not there (any more)
    case EAFNOSUPPORT:
    case EINVAL:  // a link-local address without its zone: no network to look for it on
      return Failure::network_unreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENONET:  // this and the next two: rarer ICMP errors, as the kernel reports them
    case ENOPROTOOPT:
    case EPROTO:
      return Failure::host_unreachable;
    case ETIMEDOUT:
      return Failure::timed_out;
    case EACCES:
    case EPERM:
      return Failure::denied;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Failure::no_resources;
    default:
      return Failure::internal;
  }
}

}  // namespace socks64::gateway
