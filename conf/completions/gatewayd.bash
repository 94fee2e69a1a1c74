# bash completion for gatewayd.
_gatewayd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
  if [[ ${COMP_WORDS[1]} == passwd && COMP_CWORD -gt 1 ]]; then
    case $previous in
      -f | --file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
      *) mapfile -t COMPREPLY < <(compgen -W '-f --file -D --delete --stdin -h --help' -- "$current") ;;
    esac
    return
  fi
  case $previous in
    -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'trace debug info warning error' -- "$current") ;;
    --access-log) mapfile -t COMPREPLY < <(compgen -W 'stderr none' -- "$current"; compgen -f -- "$current") ;;
    -l | --listen | --threads | --allow-from | --allow-to | --explain-rule) ;;
    *)
      mapfile -t COMPREPLY < <(compgen -W '-c --config --check-config -l --listen --allow-from --allow-to --insecure-open --explain-rule --threads --log-level --access-log
        -h --help -V --version'"$([[ $COMP_CWORD == 1 ]] && echo ' passwd')" -- "$current")
      ;;
  esac
} &&
  complete -o filenames -F _gatewayd gatewayd
