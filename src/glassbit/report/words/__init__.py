"""What the numbers say, in words."""

from __future__ import annotations

from ._conclusions import agreement_sentences as agreement_sentences
from ._conclusions import answers as answers
from ._conclusions import looks as looks
from ._conclusions import moved as moved
from ._conclusions import road_sentence as road_sentence
from ._conclusions import unclear as unclear
from ._explained import absent as absent
from ._explained import best as best
from ._explained import lead as lead
from ._explained import road_sentences as road_sentences
from ._facts import facts as facts
from ._facts import floored_sentences as floored_sentences
from ._facts import unread_sentences as unread_sentences
from ._format import NOTHING as NOTHING
from ._format import count as count
from ._format import images_named as images_named
from ._format import kilobytes as kilobytes
from ._format import number as number
from ._format import spread_text as spread_text
from ._headlines import headlines as headlines
from ._intervals import bracket_text as bracket_text
from ._intervals import ends_text as ends_text
from ._intervals import interval_text as interval_text
from ._intervals import scaled as scaled
from ._remarks import remarks as remarks
from ._remarks import weights_given as weights_given
