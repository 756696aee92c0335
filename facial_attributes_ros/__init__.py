"""Age, gender and emotion of every face a robot sees."""

from pkgutil import extend_path

# In a checkout the source folder hides the installed one, which alone holds the generated messages (`.msg`).
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
