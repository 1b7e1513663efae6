"""Saliency maps, what they are worth, and pictures of them."""

from glassbit.pictures import Explained as Explained

from ._curves import FRACTIONS as FRACTIONS
from ._curves import Curves as Curves
from ._curves import masking_curves as masking_curves
from ._grad_cam import grad_cam as grad_cam
from ._gradient import gradient as gradient
from ._integrated import Integrated as Integrated
from ._integrated import integrated_gradients as integrated_gradients
from ._occlusion import occlusion as occlusion
from ._pictures import explain_images as explain_images
from ._refused import check_method as check_method
from ._saliency import METHODS as METHODS
from ._saliency import saliency as saliency
from ._smoothgrad import smoothgrad as smoothgrad
