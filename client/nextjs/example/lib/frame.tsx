import Link from "next/link";
import type { ReactNode } from "react";

const PAGES = [
  ["/", "Models"],
  ["/queue", "Downloads"],
  ["/pages-router", "Pages Router"],
] as const;

export function Frame({ at, children }: { at: string; children: ReactNode }) {
  return (
    <div className="mx-auto flex min-h-dvh max-w-5xl flex-col px-4 sm:px-6">
      <header className="flex flex-wrap items-center gap-x-6 gap-y-2 py-5">
        <Link href="/" className="text-lg font-semibold tracking-tight">
          <span
            aria-hidden
            className="me-2 inline-block size-3 rounded-full bg-linear-to-br from-amber-400 to-rose-500"
          />
          Model shelf
        </Link>
        <nav aria-label="Pages" className="flex gap-1 text-sm">
          {PAGES.map(([href, title]) => (
            <Link
              key={href}
              href={href}
              aria-current={href === at ? "page" : undefined}
              className="rounded-full px-3 py-1.5 hover:bg-black/5 aria-[current=page]:bg-black/10 aria-[current=page]:font-medium dark:hover:bg-white/10 dark:aria-[current=page]:bg-white/15"
            >
              {title}
            </Link>
          ))}
        </nav>
      </header>
      <main className="flex-1 py-6">{children}</main>
      <footer className="py-8 text-xs text-stone-600 dark:text-stone-400">
        Downloads go on when this page is closed: the hfdmd daemon has them.
      </footer>
    </div>
  );
}
