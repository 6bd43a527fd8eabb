FROM busybox:1.35.0
ENV WEB_PORT=8080
ENTRYPOINT ["sh", "-c", "exec httpd -f -p $WEB_PORT"]
