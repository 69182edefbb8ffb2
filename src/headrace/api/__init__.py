"""The wire faces: the cloud's two APIs, CloudEvents over HTTP and our own API, behind one server.

Faces parse, authenticate, authorise and render; no rule of the domain lives here.
May import access, bus, functions, resources and core; never store.
"""
