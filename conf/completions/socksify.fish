# fish completion for socksify: its options, then a command, then that command's own arguments.
function __fish_socksify_no_program -d 'True while only options were given'
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                return 1
            case -g --gateway --credentials --config --direct --only --dns --udp --log --test
                set -e words[1]
            case '-*'
            case '*'
                return 1
        end
        set -e words[1]
    end
    return 0
end

complete -c socksify -a '(__fish_complete_subcommand -- -g --gateway --credentials --config --direct --only --dns --udp --log --test)' -d Command
complete -c socksify -n __fish_socksify_no_program -x -s g -l gateway -a 'socks5:// socks5+unix:///' -d 'The gateway'
complete -c socksify -n __fish_socksify_no_program -r -F -l credentials -d 'The file with user and password'
complete -c socksify -n __fish_socksify_no_program -r -F -l config -d 'Read this file instead of /etc/socks64/socks64.conf'
complete -c socksify -n __fish_socksify_no_program -x -l direct -a '(__fish_print_hostnames)' -d 'Connect to this without the gateway'
complete -c socksify -n __fish_socksify_no_program -x -l only -a '(__fish_print_hostnames)' -d 'Connect to this through the gateway, to all else without'
complete -c socksify -n __fish_socksify_no_program -l ignore-no-proxy -d 'Take no direct targets from no_proxy'
complete -c socksify -n __fish_socksify_no_program -l private-table -d 'Every program has fake addresses of its own'
complete -c socksify -n __fish_socksify_no_program -x -l dns -a 'answer gateway refuse direct' -d 'DNS questions of the program itself'
complete -c socksify -n __fish_socksify_no_program -x -l udp -a 'refuse direct' -d 'Datagrams to other hosts'
complete -c socksify -n __fish_socksify_no_program -x -l log -a 'off error info explain' -d 'What is told on standard error'
complete -c socksify -n __fish_socksify_no_program -s v -l verbose -d 'The same as --log info'
complete -c socksify -n __fish_socksify_no_program -l explain -d 'One line for each connection on standard error'
complete -c socksify -n __fish_socksify_no_program -l check -d 'Say what of the program cannot be intercepted'
complete -c socksify -n __fish_socksify_no_program -x -l test -a '(__fish_print_hostnames):' -d 'Walk the way to HOST:PORT'
complete -c socksify -n __fish_socksify_no_program -l print-env -d 'Print the settings as shell commands'
complete -c socksify -n __fish_socksify_no_program -s h -l help -d 'Print help and exit'
complete -c socksify -n __fish_socksify_no_program -s V -l version -d 'Print the version and exit'
