"use client";

import { RepoFiles } from "hfdmd-nextjs/react";
import { useState } from "react";

export function RepoPicker() {
  const [repo, setRepo] = useState<string>();
  return (
    <>
      <form
        className="mt-4 flex gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          setRepo(String(new FormData(event.currentTarget).get("repo")).trim() || undefined);
        }}
      >
        <input
          name="repo"
          aria-label="Repo on the Hub"
          placeholder="owner/name"
          defaultValue="Qwen/Qwen3-0.6B-GGUF"
          className="h-10 min-w-0 flex-1 rounded-full border border-black/15 bg-white/70 px-4 dark:border-white/20 dark:bg-white/5"
        />
        <button className="h-10 rounded-full border border-black/15 px-5 text-sm font-medium hover:bg-black/5 dark:border-white/20 dark:hover:bg-white/10">
          Show files
        </button>
      </form>
      {repo && <RepoFiles key={repo} modelRepo={repo} className="mt-6" />}
    </>
  );
}
