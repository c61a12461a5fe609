import { Frame } from "../lib/frame";
import { ModelCard } from "../lib/model-card";
import { MODELS } from "../lib/models";
import { RepoPicker } from "../lib/repo-picker";

export default function Page() {
  return (
    <Frame at="/">
      <h1 className="text-3xl font-semibold tracking-tight sm:text-4xl">Models on your own machine</h1>
      <p className="mt-2 max-w-prose text-stone-600 dark:text-stone-300">
        Press a button, close the lid, come back later: a download pauses, resumes and survives, and nothing is called
        done before it is checked.
      </p>
      <div className="mt-8 grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
        {MODELS.map((model) => (
          <ModelCard key={model.modelRepo} {...model} />
        ))}
      </div>
      <h2 className="mt-12 text-xl font-semibold tracking-tight">Any repo</h2>
      <RepoPicker />
    </Frame>
  );
}
