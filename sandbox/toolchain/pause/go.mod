module foretide.dev/sandbox/toolchain/pause

go 1.25.0
