"""What has to happen in one step on the server, in Lua, a module each kind of record.

Example: ``epochs`` moves the epoch only from the number its writer saw.
Only the store's own modules enter.
"""
