# What the sh tier cannot do.

### refuses to listen on the device (-R, -A), and goes on without
# prints: agent
# differs: no -R and no -A: a shell has nothing to listen with
# bridge prints: ^-R 255\n-R socket 255\nno agent\ngoes on\n$
ssh -o ExitOnForwardFailure=yes -R $L1:127.0.0.1:1 dev true 2>/dev/null; echo "-R $?"
ssh -o ExitOnForwardFailure=yes -R $R/.s:127.0.0.1:1 dev true 2>/dev/null; echo "-R socket $?"
eval $(ssh-agent) >/dev/null; keep $SSH_AGENT_PID
ssh -A -o IdentityAgent=$SSH_AUTH_SOCK dev 'test -S "${SSH_AUTH_SOCK-}" && echo agent || echo no agent' 2>/dev/null
ssh -R $L1:127.0.0.1:1 dev echo goes on 2>/dev/null
