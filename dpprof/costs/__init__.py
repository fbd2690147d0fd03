"""PLACEHOLDER costs"""
