/*
 * A token given as an argument is in the list of processes for everybody. It is warned about, and it is
 * taken out of that list as soon as we run; until then, and in the shell's history, it was seen.
 */
'use strict';

/** Replaces the value of --token in what `ps` shows. */
module.exports = function hideToken(args) {
  var shown = args.map(function (arg, index) {
    if (args[index - 1] === '--token') return '[hidden]';
    return arg.indexOf('--token=') === 0 ? '--token=[hidden]' : arg;
  });
  // On Linux a new title overwrites the memory of all arguments.
  if (shown.join() !== args.join()) process.title = ['iotda-ssh'].concat(shown).join(' ');
};
