"""minids: DeepSeek's models from LLM to R1, small, readable and tested against the published ones.

Importing this does nothing. The parts are files: `from minids import accounting`,
`from minids.model import mla`. CONTRIBUTING.md has the picture of the whole house.
"""

__version__ = "0.1.0"
