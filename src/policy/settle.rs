//! settle
/// Meta
#[derive(Debug)]
pub struct Meta;
