//! The scratch of the layers that treat each token by itself ([`token_layers`](super::token_layers)).

/// Scratch for a chunk of tokens.
pub(super) struct Scratch<'a> {
    /// The input of a layer.
    pub rows: &'a mut [u8],
    /// The hidden layer of the MLP, f32.
    pub hidden: &'a mut [u8],
    /// The hidden layer as rows.
    pub hidden_rows: &'a mut [u8],
    /// One token.
    pub token: &'a mut [f32],
}
