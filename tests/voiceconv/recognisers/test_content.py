"""The content encoder: features of a fixed size for each frame, frozen, without a view of the clip's length."""

from __future__ import annotations

import torch

from voiceconv.recognisers.content import ContentEncoder


def test_every_frame_has_content_that_depends_on_its_neighbourhood_only() -> None:
    encoder = ContentEncoder()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    mel = torch.randn(2, 80, 301, generator=torch.Generator().manual_seed(0)) - 5
    content = encoder(mel)
    assert content.shape == (2, encoder.size, 301)
    longer = encoder(torch.cat([mel, mel[:, :, :100]], dim=2))
    torch.testing.assert_close(longer[:, :, :200], content[:, :, :200], atol=1e-4, rtol=1e-4)
    assert (longer[:, :, 301] - content[:, :, 300]).abs().max() > 0.01
