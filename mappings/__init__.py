"""Canonical models and pure transformation between Clarity eCommerce and Sage 100.

Here live: what an order, a shipment or a customer *is* to this project, how one becomes Sage's, how it is
judged, and the pair files (`pairs/*.yaml`) that hold everything in which sites differ.

Must not live here: I/O of any kind (beyond loading a pair file), Temporal, clocks, randomness, environment.
A function here gives the same answer for the same arguments for ever, which makes it testable in milliseconds.
"""
