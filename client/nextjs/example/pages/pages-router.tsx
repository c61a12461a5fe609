import { DownloadQueue } from "hfdmd-nextjs/react";
import Head from "next/head";

import { Frame } from "../lib/frame";
import { ModelCard } from "../lib/model-card";
import { MODELS } from "../lib/models";

export default function Page() {
  return (
    <Frame at="/pages-router">
      <Head>
        <title>Model shelf, Pages Router</title>
      </Head>
      <h1 className="text-3xl font-semibold tracking-tight">The same over the Pages Router</h1>
      <p className="mt-2 max-w-prose text-stone-600 dark:text-stone-300">
        Served by <code>pages/api/download.ts</code>, <code>pages/api/progress.ts</code> and their neighbours.
      </p>
      <div className="mt-8 grid items-start gap-8 lg:grid-cols-[18rem_1fr]">
        <ModelCard {...MODELS[0]!} />
        <DownloadQueue />
      </div>
    </Frame>
  );
}
