"""The command line: `headrace NOUN VERB`, a client of the server's own APIs like any other.

Tables are for people; JSON, YAML and names for programs. Must never reach into the server: only
`up`, `doctor --data`, `limits` and `rule test` work without one.

    main        the top command, lazy nouns, what an error looks like
    words       the nouns, and what is said in Chinese too
    failure     one error with its exit code and the next command
    options     options and arguments that many commands share
    servers     which server, and with which key
    client      signed requests, and what a refusal means
    publishing  events from options and files, in batches
    package     a function's directory as a zip
    target      targets of rules from short options
    nouns/      one module per noun
    show/       how results are written
"""
