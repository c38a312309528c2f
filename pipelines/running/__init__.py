"""A built pipeline and the processes that run it: started, watched, ended, and its failures told in a sentence."""
