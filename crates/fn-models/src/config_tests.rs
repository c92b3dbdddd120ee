use super::*;

#[test]
fn generator_sizes_are_those_of_the_paper() {
    let sizes = |c: ElectraConfig| {
        let g = c.generator;
        (g.num_layers, g.hidden_size, g.num_heads, g.intermediate_size, g.embedding_size)
    };
    assert_eq!(sizes(ElectraConfig::electra_small()), (12, 64, 1, 256, 128));
    assert_eq!(sizes(ElectraConfig::electra_base()), (12, 256, 4, 1024, 768));
    assert_eq!(sizes(ElectraConfig::electra_large()), (24, 256, 4, 1024, 1024));
    assert_eq!(sizes(ElectraConfig::electra_mini()), (4, 64, 1, 256, 128));
    assert_eq!(sizes(ElectraConfig::electra_tiny()), (2, 64, 1, 256, 64));
    // A fraction that was typed with three digits.
    assert_eq!(sizes(ElectraConfig::new(EncoderConfig::electra_base(), 0.333, 0.5)), (6, 256, 4, 1024, 768));
}

#[test]
fn every_preset_is_valid() {
    for config in [
        ElectraConfig::electra_tiny(),
        ElectraConfig::electra_mini(),
        ElectraConfig::electra_small(),
        ElectraConfig::electra_base(),
        ElectraConfig::electra_large(),
    ] {
        config.validate().unwrap();
    }
    for config in [
        BertConfig::bert_tiny(),
        BertConfig::bert_mini(),
        BertConfig::bert_small(),
        BertConfig::bert_base(),
        BertConfig::bert_large(),
    ] {
        config.validate().unwrap();
    }
}

#[test]
fn a_value_out_of_range_is_named_with_what_it_may_be() {
    type Spoil = fn(&mut EncoderConfig);
    let cases: [(&str, Spoil); 9] = [
        ("encoder.num_heads is 3; allowed: a divisor of hidden_size = 256", |c| c.num_heads = 3),
        ("encoder.num_heads is 0", |c| c.num_heads = 0),
        ("encoder.vocab_size is 0", |c| c.vocab_size = 0),
        ("encoder.hidden_size is 1000000000", |c| c.hidden_size = 1_000_000_000),
        ("encoder.hidden_dropout is 1;", |c| c.hidden_dropout = 1.0),
        ("encoder.attention_dropout is -0.1", |c| c.attention_dropout = -0.1),
        ("encoder.hidden_dropout is NaN", |c| c.hidden_dropout = f64::NAN),
        ("encoder.layer_norm_eps is 0", |c| c.layer_norm_eps = 0.0),
        ("encoder.init_std is inf", |c| c.init_std = f64::INFINITY),
    ];
    for (expected, spoil) in cases {
        let mut config = EncoderConfig::electra_small();
        spoil(&mut config);
        let message = config.validate().unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn a_generator_that_cannot_share_the_embeddings_is_refused() {
    let mut config = ElectraConfig::electra_tiny();
    config.generator.embedding_size = 32;
    let message = config.validate().unwrap_err().to_string();
    assert!(message.contains("generator.embedding_size is 32; allowed: 64"), "{message}");
}

#[test]
fn bert_has_no_embedding_projection() {
    let mut config = BertConfig::bert_tiny();
    config.encoder.embedding_size = 64;
    assert!(config.validate().unwrap_err().to_string().contains("no embedding projection"));
}

#[test]
fn unknown_fields_of_a_configuration_are_refused() {
    assert!(serde_json::from_str::<EncoderConfig>(r#"{"hiden_size": 4}"#).is_err());
    let read: EncoderConfig = serde_json::from_str(r#"{"hidden_size": 64}"#).unwrap();
    assert_eq!(read, EncoderConfig { hidden_size: 64, ..EncoderConfig::electra_small() });
}
