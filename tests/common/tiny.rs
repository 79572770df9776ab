//! A reader so small that a step takes milliseconds.

/// Its sizes.
pub const TINY: &[&str] = &[
    "abinet.vision.resnet_planes=[4,4,4,4,8]",
    "abinet.vision.resnet_blocks=[1,1,1,1,1]",
    "abinet.vision.d_model=8",
    "abinet.vision.d_inner=8",
    "abinet.vision.encoder_layers=1",
    "abinet.vision.unet_channels=4",
    "abinet.language.d_model=8",
    "abinet.language.d_inner=8",
    "abinet.language.num_layers=1",
];
