# bash completion for gatewayd.
_gatewayd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
  case $previous in
    -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'trace debug info warning error' -- "$current") ;;
    --access-log) mapfile -t COMPREPLY < <(compgen -W 'stderr none' -- "$current"; compgen -f -- "$current") ;;
    -l | --listen | --threads | --allow-from | --allow-to | --explain-rule) ;;
    *)
      mapfile -t COMPREPLY < <(compgen -W '-c --config --check-config -l --listen --allow-from --allow-to --insecure-open --explain-rule --threads --log-level --access-log
        -h --help -V --version' -- "$current")
      ;;
  esac
} &&
  complete -o filenames -F _gatewayd gatewayd
