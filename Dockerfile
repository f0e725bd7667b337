# The image holds one program, its configuration is mounted:
#   docker build -t warmfront .
#   docker run -p 8080:8080 -v ./warmfront.toml:/etc/warmfront/warmfront.toml:ro warmfront

FROM rust:1.95-bookworm AS build
WORKDIR /src

# The dependencies first, against an empty program: this layer is reused until they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs \
 && cargo build --release --locked --bin warmfront

COPY . .
# COPY keeps the files' times, which may be older than the empty program's.
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked --bin warmfront

# The C library and root certificates, nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/warmfront /usr/local/bin/warmfront
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/warmfront"]
CMD ["run", "--config", "/etc/warmfront/warmfront.toml"]
