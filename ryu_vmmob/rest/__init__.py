"""The REST interface as a WSGI application. It knows the engine and the model, and no framework of any controller."""
