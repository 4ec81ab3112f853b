import { mixtureWeights } from '../blocks/mixture.ts'
import { encoderLayer, patchConv } from '../blocks/vision.ts'
import { conv, norm, replicated } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { dividedHeadDim } from './decoder.ts'
import { type Family, layerCount, layerKinds, stackOf, uniformStack, usual } from './family.ts'
import { multimodal, tower } from './multimodal.ts'
import type { Encoder } from './towers.ts'
import { throughInner } from './vision-parts.ts'

/** Experts of dots3's vision layers where the file does not say: none in 25 layers, then more and more. */
const dotsPyramid = Array.from({ length: 42 }, (_, i) => (i < 25 ? 0 : Math.min(64, 4 * (i - 24))))

/** dots3: gated feed-forwards or experts whose number differs by layer, norms on queries and keys. */
function dots3Visual(file: Config, out: number): Encoder {
  const config = file.with(
    usual({
      hidden: 1536,
      width: 4224,
      moe_intermediate_size: 2112,
      layers: 42,
      heads: 24,
      num_channels: 3,
      patch_size: 14,
      num_local_experts: 64,
      num_experts_per_tok: 2,
      spatial_merge_size: 2,
    }),
    {
      hidden_size: ['embed_dim'],
      num_attention_heads: ['num_heads'],
      attention_bias: ['use_bias'],
      num_experts_per_tok: ['capacity_factor'],
    },
  )
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const layers = layerCount(config)
  const kinds = layerKinds(config, layers, 'mlp_layer_types')
  const pyramid = config.list('pyramid_num_routed') ?? (kinds ? null : dotsPyramid)
  const own = config.nested('per_layer_config')
  const expertsOf = (i: number): number => {
    const listed = pyramid?.[i] ?? 0
    if (pyramid) return Number.isSafeInteger(listed) ? Math.max(0, Number(listed)) : 0
    if (kinds?.[i] !== 'sparse') return 0
    return own?.nested(String(i))?.sizeOrNull('num_local_experts') ?? config.size('num_local_experts')
  }
  const bias = config.flag('attention_bias')
  const mlpBias = config.flag('mlp_bias')
  const width = config.size('intermediate_size')
  const headDim = dividedHeadDim(config, hidden, heads)
  const whole = encoderLayer({
    hidden,
    width,
    fused: true,
    gated: true,
    rms: true,
    qkvBias: bias,
    outBias: bias,
    mlpBias,
    norms: ['norm1', 'norm2'],
    names: { attention: 'attn', out: 'proj' },
  })
  const attention = [
    ...whole.filter(w => !w.name.startsWith('mlp.')),
    norm('attn.q_norm', headDim),
    norm('attn.k_norm', headDim),
  ]
  const merged = hidden * config.size('spatial_merge_size') ** 2
  return {
    weights: [
      patchConv('patch_embed.proj', config, hidden, { bias: true }),
      norm('patch_embed.norm', hidden),
      norm('norm', hidden),
      norm('merger.ln_q', hidden, true),
      ...throughInner(merged, merged, out, true),
    ],
    stack: stackOf(
      layers,
      i => `${expertsOf(i)} experts`,
      (i, name) => ({
        name,
        weights: [
          ...attention,
          ...(expertsOf(i) === 0
            ? whole.filter(w => w.name.startsWith('mlp.'))
            : mixtureWeights({
                hidden,
                width: config.size('moe_intermediate_size'),
                experts: expertsOf(i),
                perToken: config.sizeOrNull('num_experts_per_tok'),
              })),
        ],
        cache: [],
      }),
    ),
    heads,
    width: out,
  }
}

/** dots3's ears: three strided convolutions, encoder layers without bias on the keys, an adapter. */
function dots3Audio(file: Config, out: number): Encoder {
  const audio = file.with(
    usual({
      hidden: 1280,
      width: 5120,
      layers: 32,
      heads: 20,
      feature_size: 128,
      downsample_hidden_size: 480,
      attention_bias: true,
    }),
  )
  // released files keep the encoder's sizes in a dictionary with Whisper's names
  const whisper = audio.nested('whisper_config')
  const size = (name: string, other: string) => whisper?.sizeOrNull(other) ?? audio.size(name)
  const hidden = size('hidden_size', 'd_model')
  const inner = audio.size('downsample_hidden_size')
  const bias = audio.flag('attention_bias')
  const layers = size('num_hidden_layers', 'encoder_layers')
  const computed = inner * Math.floor((size('feature_size', 'num_mel_bins') + 7) / 8)
  return {
    weights: [
      conv('conv_stem.convs.0', inner, 9, true),
      ...[1, 2].map(i => conv(`conv_stem.convs.${i}`, inner, 9 * inner, true)),
      replicated('conv_stem.conv_out', hidden, audio.sizeOrNull('conv_output_size') ?? computed),
      norm('layer_norm', hidden),
      norm('adapter.norm', hidden, true),
      ...throughInner(hidden, out, out, true),
    ],
    stack: uniformStack(layers, {
      name: 'encoder',
      weights: encoderLayer({
        hidden,
        width: size('intermediate_size', 'encoder_ffn_dim'),
        gated: true,
        rms: true,
        qkvBias: bias,
        keyBias: false,
        outBias: bias,
        names: { out: 'o_proj' },
      }),
      cache: [],
    }),
    heads: size('num_attention_heads', 'encoder_attention_heads'),
    width: out,
  }
}

export const dots3Vision: Family = multimodal({
  type: 'dots3_note',
  text: { type: 'dots3_note_text' },
  towers: m => [
    tower('vision_tower', 'vision', dots3Visual(m.part('vision_config'), m.hidden)),
    tower('audio_tower', 'audio', dots3Audio(m.part('audio_config'), m.hidden)),
  ],
})
