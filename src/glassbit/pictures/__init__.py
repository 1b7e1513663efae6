"""Image files to pixels, and pixels and maps to image files; without torch.

framing = settle(files, Framing(size=(28, 28), color="grey"))
for pixels in decoded(files, framing).chunks(): ...      # uint8 (n, c, h, w)
write_png(path, overlay(pixels[0], saliency))
"""

from ._decode import decoded as decoded
from ._decode import settle as settle
from ._explained import Explained as Explained
from ._explained import folder_name as folder_name
from ._explained import write_explained as write_explained
from ._explained import write_index as write_index
from ._framing import LARGEST as LARGEST
from ._framing import SMALLEST as SMALLEST
from ._framing import Color as Color
from ._framing import Framing as Framing
from ._images import Images as Images
from ._render import check_colors as check_colors
from ._render import colored as colored
from ._render import overlay as overlay
from ._render import to_rgb as to_rgb
from ._render import write_png as write_png
from ._walk import Walk as Walk
from ._walk import said_outside as said_outside
from ._walk import walk as walk
