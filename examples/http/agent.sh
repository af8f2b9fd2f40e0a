#!/bin/sh
# An agent in the shell, a process a request, by what every Unix has: repeats what is said. With a secret it
# answers nobody else.
# CHIMEIN_AGENT_SECRET=whsec_… socat TCP-LISTEN:9000,bind=127.0.0.1,reuseaddr,fork EXEC:"sh examples/http/agent.sh"
# So does systemd with Accept=yes, or any other inetd.
bytes() { # MASK HEX...
    mask=$1 && shift
    for hex; do printf "\\$(printf %03o $((0x$hex ^ mask)))"; done
}
digest() { sha256sum | cut -c 1-64 | fold -w 2; }
wanted() { # TEXT, which is signed with the key of 64 bytes; none of ours is longer
    inner=$({ bytes 0x36 $key && printf %s "$1"; } | digest)
    outer=$({ bytes 0x5c $key && bytes 0 $inner; } | digest)
    bytes 0 $outer | base64
}
answer() { # STATUS BODY
    printf 'HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: %s\r\n\r\n%s' "$1" "$(printf %s "$2" | wc -c)" "$2"
    exit
}

read -r _request
while IFS= read -r line && line=$(printf %s "$line" | tr -d '\r') && [ -n "$line" ]; do
    value=${line#*: }
    case $(printf %s "$line" | tr A-Z a-z) in
        content-length:*) length=$value ;;
        webhook-id:*) id=$value ;;
        webhook-timestamp:*) sent=$value ;;
        webhook-signature:*) signatures=$value ;;
    esac
done
body=$(head -c "${length:-0}")
if [ -n "$CHIMEIN_AGENT_SECRET" ]; then
    key=$({ printf %s "${CHIMEIN_AGENT_SECRET#whsec_}" | base64 -d && head -c 64 /dev/zero; } | head -c 64 | od -A n -v -t x1)
    age=$(($(date +%s) - ${sent:-0}))
    [ "${age#-}" -le 300 ] || answer "401 Unauthorized"
    case " $signatures " in *" v1,$(wanted "$id.$sent.$body") "*) ;; *) answer "401 Unauthorized" ;; esac
fi
texts=$(printf %s "$body" | grep -oE '"body":"([^"\\]|\\.)*"' | sed 's/^"body":"/"You said: /' | paste -s -d , -)
[ -n "$texts" ] && answer "200 OK" "{\"replies\":[$texts]}" || answer "204 No Content"
