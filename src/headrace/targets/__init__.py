"""Where events go: one module per kind of target, all behind `delivery.Sender`.

May import resources, store and core; never bus, functions, sources or a face. What a target needs
of those (invoke a function, enqueue a call) is handed in as a callable by `app.py`.
"""
