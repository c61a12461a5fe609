export interface Model {
  title: string;
  text: string;
  /** Two letters on a tile, and its colours. */
  tile: string;
  colors: string;
  modelRepo: string;
  filePath: string;
}

export const MODELS: Model[] = [
  {
    title: "Qwen3 0.6B",
    text: "A small model that answers on any laptop. One file, eight bits.",
    tile: "Qw",
    colors: "from-violet-500 to-blue-500",
    modelRepo: "Qwen/Qwen3-0.6B-GGUF",
    filePath: "Qwen3-0.6B-Q8_0.gguf",
  },
  {
    title: "all-MiniLM-L6-v2",
    text: "Turns sentences into vectors: search by meaning on your own machine.",
    tile: "Mi",
    colors: "from-emerald-500 to-teal-600",
    modelRepo: "sentence-transformers/all-MiniLM-L6-v2",
    filePath: "model.safetensors",
  },
  {
    title: "Whisper tiny",
    text: "Writes down what is said, in a hundred languages.",
    tile: "Wh",
    colors: "from-amber-500 to-rose-500",
    modelRepo: "openai/whisper-tiny",
    filePath: "model.safetensors",
  },
];
