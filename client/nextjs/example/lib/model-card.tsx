import { DownloadButton } from "hfdmd-nextjs/react";

import type { Model } from "./models";

export function ModelCard({ title, text, tile, colors, modelRepo, filePath }: Model) {
  return (
    <article className="flex flex-col rounded-2xl border border-black/10 bg-white/70 p-5 shadow-sm dark:border-white/10 dark:bg-white/5">
      <span aria-hidden className={`flex size-12 rounded-xl bg-linear-to-br shadow-inner ${colors}`}>
        <svg viewBox="0 0 48 48" className="size-full">
          <text x="24" y="31" textAnchor="middle" className="fill-white text-lg font-semibold">
            {tile}
          </text>
        </svg>
      </span>
      <h2 className="mt-3 text-lg font-semibold">{title}</h2>
      <p className="mt-1 flex-1 text-sm text-stone-600 dark:text-stone-300">{text}</p>
      <p
        className="mt-3 truncate font-mono text-xs text-stone-600 dark:text-stone-400"
        title={`${modelRepo}/${filePath}`}
      >
        {modelRepo}
      </p>
      <DownloadButton modelRepo={modelRepo} filePath={filePath} clickEffect className="mt-3 w-full" />
    </article>
  );
}
