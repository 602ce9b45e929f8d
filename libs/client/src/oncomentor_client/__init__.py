"""The SDK of member centers: publish people, hear what became of them, answer matches.

`credentials.Credentials` says who is speaking, `people.read_people` reads files,
`publisher.Publisher` sends, `subscriber.Subscriber` listens, `responder.Responder` answers.
"""
