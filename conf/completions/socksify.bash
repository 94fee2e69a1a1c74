# bash completion for socksify: its options, then a command, then that command's own arguments.
_socksify() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local valued=' -g --gateway --credentials --config --direct --only --dns --udp --log --test '
  local i word behind=no

  # Where the program stands: the first word that is neither an option nor an option's value. bash makes words of their own of
  # '=', ':' and '@' (COMP_WORDBREAKS), which belong to what stands around them.
  local glue='^[:=@]+$'
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -- ]]; then
      behind=yes
      ((i++))
      break
    elif [[ $valued == *" $word "* ]]; then
      ((i++))
      [[ ${COMP_WORDS[i]} == = ]] && ((i++))
      while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} =~ $glue || ${COMP_WORDS[i + 1]} =~ $glue ]]; do
        ((i++))
      done
    elif [[ $word != -* ]]; then
      break
    fi
  done

  if ((i < COMP_CWORD)) || [[ $behind == yes ]]; then
    if declare -F _comp_command_offset >/dev/null; then
      _comp_command_offset "$i"
    elif declare -F _command_offset >/dev/null; then
      _command_offset "$i"
    elif ((i == COMP_CWORD)); then
      mapfile -t COMPREPLY < <(compgen -c -- "$current")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
    return
  fi

  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
  case $previous in
    -g | --gateway) mapfile -t COMPREPLY < <(compgen -W 'socks5:// socks5+unix:///' -- "$current") ;;
    --credentials | --config) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --direct | --only) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current") ;;
    --dns) mapfile -t COMPREPLY < <(compgen -W 'answer gateway refuse direct' -- "$current") ;;
    --udp) mapfile -t COMPREPLY < <(compgen -W 'refuse direct' -- "$current") ;;
    --log) mapfile -t COMPREPLY < <(compgen -W 'off error info explain' -- "$current") ;;
    --test) mapfile -t COMPREPLY < <(compgen -A hostname -S : -- "$current") ;;
    *)
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-g --gateway --credentials --config --direct --only --ignore-no-proxy
          --dns --udp --private-table --log -v --verbose --explain --check --test --print-env -h --help -V --version' -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
      fi
      ;;
  esac
} &&
  complete -o default -F _socksify socksify
