package compaction

// Instruction is what a model is told to do where nothing else is configured.
const Instruction = `The conversation above is about to be replaced by a summary, and whoever goes on with it will see nothing else of it. Write that summary now, as plain text, and nothing beside it. Call no tools.

Say, as briefly as the matter allows:
- what the user wants, with every requirement, limit and preference that was stated, and what they said last;
- what was done and found out so far, and what was decided and why;
- what is being done at the moment, what failed, and what remains to be done, in order.

Keep exact what cannot be guessed: names and paths of files, functions, commands, addresses, ids, numbers, error messages and quotations that matter. Do not invent anything, and do not address the user.
`
