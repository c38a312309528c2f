"""The command `dovebeam check`: what it finds in a configuration, and what it says about that; without Beam."""
