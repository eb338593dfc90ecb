/** Text with what stands in backticks as code. */
export function HelpText({ text }: { text: string }) {
  return text.split('`').map((part, i) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text do not move
    i % 2 === 1 ? <code key={i}>{part}</code> : part,
  );
}
