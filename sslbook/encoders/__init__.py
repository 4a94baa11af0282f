"""Encoders: networks that turn a picture, a row, a history or a track into a vector."""

from sslbook.encoders.events import EventEncoder, encode_events
from sslbook.encoders.features import WithNumbers, count_parameters, encode
from sslbook.encoders.items import AttentionBlock, ItemTransformer, dropout, encode_histories, item_scores
from sslbook.encoders.residual import ResidualBlock, ResNet
from sslbook.encoders.rows import MLP
from sslbook.encoders.scenes import SceneEncoder, hypercolumns
from sslbook.encoders.tokens import Tokeniser, TokenTransformer, mean_state
from sslbook.encoders.tracks import TrackEncoder
