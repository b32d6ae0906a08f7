"""Whether Redis may be used.

monitor      checks Redis at the start, every minute and for readiness, and the clocks of all nodes
namespace    what all processes of a namespace share: its number of shards and its server key
inspection   what a server must fulfil to be used, and what its settings promise
"""
