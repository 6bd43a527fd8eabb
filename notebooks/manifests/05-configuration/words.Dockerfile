FROM busybox:1.35.0
ENTRYPOINT ["echo", "entrypoint"]
CMD ["cmd"]
