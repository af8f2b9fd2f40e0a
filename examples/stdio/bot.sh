#!/bin/sh
# A shell as the agent: repeats what is said. What is quoted as JSON in the turn stays so in the reply.
# CHIMEIN_AGENT_KIND=stdio CHIMEIN_STDIO_MODE=spawn CHIMEIN_STDIO_COMMAND="sh examples/stdio/bot.sh" chimein serve
while read -r line; do
    case $line in '{"type":"turn"'*) ;; *) continue ;; esac
    turn=$(printf '%s' "$line" | sed -E 's/^\{"type":"turn","version":[0-9]+,"id":"([^"]*)".*/\1/')
    body=$(printf '%s' "$line" | sed -nE 's/.*"body":"(([^"\\]|\\.)*)".*/\1/p')
    printf '{"type":"reply","turn":"%s","body":"You said: %s"}\n' "$turn" "$body"
    printf '{"type":"done","turn":"%s"}\n' "$turn"
done
