"""What was measured of networks, how sure it is, and what follows: plain values and their files, without torch."""

from ._agreement import Agreement as Agreement
from ._comparison import MEASURES as MEASURES
from ._comparison import PAIRS as PAIRS
from ._comparison import SHOWN as SHOWN
from ._comparison import Comparison as Comparison
from ._comparison import Measure as Measure
from ._comparison import Pair as Pair
from ._interval import Interval as Interval
from ._interval import difference as difference
from ._interval import interval as interval
from ._judge import Check as Check
from ._judge import Policy as Policy
from ._judge import Verdict as Verdict
from ._judge import judge as judge
from ._measurement import Measurement as Measurement
from ._metrics import METRICS as METRICS
from ._metrics import Metric as Metric
from ._paired import Paired as Paired
from ._paired import paired as paired
