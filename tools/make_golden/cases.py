"""The generated cases: other shapes of the families than the hand-picked ones that lie beside them."""

COMMON = dict(hidden_act="silu", attention_bias=False, attention_dropout=0.0, rms_norm_eps=1e-6,
              tie_word_embeddings=False, max_position_embeddings=262144, bos_token_id=2, eos_token_id=4)
NEXT = dict(COMMON, model_type="qwen3_next", architectures=["Qwen3NextForCausalLM"], rope_theta=10000000,
            rope_scaling=None, partial_rotary_factor=0.25, full_attention_interval=4, linear_conv_kernel_dim=4,
            decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True, router_aux_loss_coef=0.001,
            output_router_logits=False, torch_dtype="bfloat16", use_cache=True)
LENGTHS = (1, 64, 65, 130)
BASE = dict(lengths=LENGTHS, greedy=(64,), states=(1, 3, 65), trace=(0, 1, 2), ahead_lengths=(1, 65))

# One odd number after the other: three value heads per key head, dk != dv, a dense layer, six rotary dimensions.
ODD = dict(NEXT, vocab_size=90, hidden_size=44, intermediate_size=72, num_hidden_layers=5, full_attention_interval=3,
           num_attention_heads=6, num_key_value_heads=3, head_dim=20, partial_rotary_factor=0.3, rope_theta=5000000,
           linear_num_key_heads=1, linear_num_value_heads=3, linear_key_head_dim=20, linear_value_head_dim=12,
           num_experts=7, num_experts_per_tok=3, moe_intermediate_size=12, shared_expert_intermediate_size=28,
           mlp_only_layers=[1])

# YaRN with its own betas and attention factor, tied embeddings, one value head per key head, attention every second.
YARN = dict(NEXT, vocab_size=96, hidden_size=32, intermediate_size=96, num_hidden_layers=4, full_attention_interval=2,
            num_attention_heads=4, num_key_value_heads=4, head_dim=32, partial_rotary_factor=0.5, rope_theta=10000,
            tie_word_embeddings=True, max_position_embeddings=512,
            rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=16,
                              beta_slow=2, attention_factor=1.15),
            linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=24, linear_value_head_dim=24,
            num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16)

TEXT_35 = dict(COMMON, full_attention_interval=4, linear_conv_kernel_dim=4, mamba_ssm_dtype="float32",
               mtp_num_hidden_layers=1, dtype="bfloat16")
ROPE_35 = dict(rope_type="default", rope_theta=10000000, partial_rotary_factor=0.25, mrope_interleaved=True)

# Dense Qwen3.5 with tied embeddings and a dense multi-token prediction module.
DENSE_35 = dict(
    model_type="qwen3_5", architectures=["Qwen3_5ForConditionalGeneration"], tie_word_embeddings=True,
    text_config=dict(TEXT_35, model_type="qwen3_5_text", tie_word_embeddings=True, vocab_size=96, hidden_size=48,
                     intermediate_size=88, num_hidden_layers=4, num_attention_heads=3, num_key_value_heads=1,
                     head_dim=32, linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=16,
                     linear_value_head_dim=16, rope_parameters=dict(ROPE_35, mrope_section=[2, 1, 1])))

# Qwen3.5-MoE with other sizes: dv > dk, attention first, six experts of which four are active.
MOE_35 = dict(
    model_type="qwen3_5_moe", architectures=["Qwen3_5MoeForConditionalGeneration"], tie_word_embeddings=False,
    text_config=dict(TEXT_35, model_type="qwen3_5_moe_text", vocab_size=96, hidden_size=32, num_hidden_layers=3,
                     layer_types=["full_attention", "linear_attention", "linear_attention"],
                     num_attention_heads=4, num_key_value_heads=2, head_dim=64, linear_num_key_heads=2,
                     linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=24, num_experts=6,
                     num_experts_per_tok=4, moe_intermediate_size=20, shared_expert_intermediate_size=36,
                     router_aux_loss_coef=0.001, output_router_logits=False,
                     rope_parameters=dict(ROPE_35, mrope_section=[3, 3, 2])))

# Qwen3-MoE with dense layers in between, weights of the chosen experts as they are, tied embeddings, a tokenizer.
MOE_3 = dict(COMMON, model_type="qwen3_moe", architectures=["Qwen3MoeForCausalLM"], vocab_size=384, hidden_size=48,
             intermediate_size=80, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2, head_dim=24,
             rope_theta=1000000, rope_scaling=None, tie_word_embeddings=True, max_position_embeddings=40960,
             use_sliding_window=False, sliding_window=None, decoder_sparse_step=2, mlp_only_layers=[3],
             norm_topk_prob=False, num_experts=10, num_experts_per_tok=3, moe_intermediate_size=20,
             router_aux_loss_coef=0.001, output_router_logits=False, torch_dtype="bfloat16",
             bos_token_id=358, eos_token_id=360)

CASES = [
    dict(BASE, name="gen_next_odd", seed=101, config=ODD, ahead=True),
    dict(BASE, name="gen_next_yarn_tied", seed=102, config=YARN, ahead=True),
    dict(BASE, name="gen_q35_dense", seed=103, config=DENSE_35, ahead=True, trace=(0, 3)),
    dict(BASE, name="gen_q35_moe", seed=104, config=MOE_35, ahead=True),
    dict(BASE, name="gen_q3_moe_mixed", seed=105, config=MOE_3, trace=(0, 1), tokenizer=True, lengths=(1, 65), greedy=(65,)),
]
