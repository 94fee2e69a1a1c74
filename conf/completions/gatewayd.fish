# fish completion for gatewayd.
complete -c gatewayd -f
complete -c gatewayd -r -F -s c -l config -d 'Configuration file'
complete -c gatewayd -l check-config -d 'Read the configuration, print every error in it'
complete -c gatewayd -x -s l -l listen -d 'Serve this ADDR:PORT or unix:PATH'
complete -c gatewayd -x -l allow-from -d 'Serve these clients alone'
complete -c gatewayd -x -l allow-to -d 'Allow these destinations before any rule'
complete -c gatewayd -l insecure-open -d 'Start although a listener would serve everybody'
complete -c gatewayd -x -l explain-rule -d 'Say which rule decides, and why'
complete -c gatewayd -x -l threads -d 'Worker threads'
complete -c gatewayd -x -l log-level -a 'trace debug info warning error' -d 'What is logged'
complete -c gatewayd -r -F -l access-log -a 'stderr none' -d 'Where access records go'
complete -c gatewayd -s h -l help -d 'Print help and exit'
complete -c gatewayd -s V -l version -d 'Print the version and exit'
