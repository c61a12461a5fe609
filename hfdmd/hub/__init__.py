"""What the Hub says and where files belong: resolve, list, place. The only room that knows the Hub's formats.

`client.Hub` asks the Hub; `shelf.Shelf` knows the Hub's cache and local folders and never uses the network.
"""
