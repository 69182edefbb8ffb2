"""The command line: `headrace NOUN VERB`, a client of the server's own APIs like any other.

One module per noun, imported when it is used. Tables are for people, JSON, YAML and names for
programs. Must never reach into the server: `up`, `doctor --data` and `rule test` are the only
commands that work without one.

    main       the top command, lazy nouns, what an error looks like
    failure    one error with its exit code and the next command
    words      what is said in Chinese too
    options    options and arguments that many commands share
    output     table, JSON, YAML, names
    yamltext   the YAML emitter
    tables     aligned text for people
    servers    which server, and with which key
    client     signed requests, and what a refusal means
"""
