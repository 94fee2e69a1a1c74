/* What the probes that speak DNS share: queries, and the checks of what comes back. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { DNS = 53, MESSAGE = 512 };

/* The name that every probe asks for unless it says otherwise. */
#define NAME "resolved.example.test"

/* A query of this identifier; its size. With a length in front: query_in_stream(). */
size_t query(unsigned char* out, const char* name, int type, unsigned id);
size_t query_in_stream(unsigned char* out, const char* name, int type, unsigned id);

/* An answer to it with the address that getaddrinfo() gives. */
void check_answer(const unsigned char* message, long size, const char* name, int type, unsigned id);
/* An answer of any content: its response code and number of records. */
void check_empty(const unsigned char* message, long size, int code, int truncated);

/* The address is that of a resolver: `text`, or PROBE_TARGET when that is null. */
void check_resolver(const struct sockaddr_storage* address, socklen_t length, const char* text);
socklen_t resolver(const char* text, struct sockaddr_storage* out);

int udp(int flags);           /* of the target's family */
int udp_connected(int flags); /* to the resolver */
int wait_and_read(int fd, unsigned char* out, size_t size);

#endif
