vcl 4.1;

backend origin {{
    .host = "127.0.0.1";
    .port = "{origin_port}";
    .max_connections = 2000;
}}

sub vcl_recv {{
    if (req.url ~ "^/pass/") {{
        return (pass);
    }}
    return (hash);
}}
